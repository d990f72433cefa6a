"""A run as a page: `report.write_report`."""
