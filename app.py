"""The page of Citadelle: `citadelle serve`, or `streamlit run app.py`."""

from ui.page import main

main()
