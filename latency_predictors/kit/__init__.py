"""What is measured for a table, and how it gets to devices that are elsewhere: as a folder, or over ssh."""
