"""JSON schemas of the files between the stages, for editors, other programs and readers.

The models stand here and not beside what writes the files: the verifier and the readers of stores
use no pydantic. A test holds them to files that the stages write. The pipeline itself checks what
it reads of a file where it reads it, and complains with a remedy.
"""
