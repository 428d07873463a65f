"""Write all schemas: `python -m pipeline.checks.schemas`."""

from pipeline.checks.schemas.files import texts

if __name__ == "__main__":
    for file, text in texts():
        file.write_text(text, encoding="utf-8")
