"""The page: what it says (`texts`), what it draws (`rendering`), what it asks (`engine`)."""
