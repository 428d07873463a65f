"""One job over two nodes: Dask workers and MPI ranks, their store and what they leave behind."""

import os
import re
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from harness import Checkout
from virtual_cluster import wait_until

from cluster.slurm_site import parse_records
from pipeline.provenance import read_json

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

STORES = ("data/waves", "data/vortex")
