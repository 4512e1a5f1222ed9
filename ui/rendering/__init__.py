"""Turn answers, passages and documents into HTML that is safe to show.

This is the one place where text of a person, of a document or of an error becomes
markup, and all of it goes through `html.escape`. Nothing of theirs reaches
`st.markdown`, whose images, links, formulas, icons and directives would come alive.
"""
