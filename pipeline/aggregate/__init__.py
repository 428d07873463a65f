"""From the files of finished stages to one table, one report and a few lines on the console."""
