"""Question files looked after: checked against their documents, extended from feedback."""
