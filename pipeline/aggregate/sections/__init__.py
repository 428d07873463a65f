"""The report, section by section: one module and one template for each kind of content."""
