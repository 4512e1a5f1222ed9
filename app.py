"""The page of Citadelle: `citadelle serve`, or `streamlit run app.py`."""

import streamlit as st

if __name__ == "__main__":
    from ui.page import main

    main()
else:
    # Streamlit looks for this name, serves what it finds, and draws the page from this file.
    from ui.api import routes
    from ui.server import guards, opened, say_failed, set_up_observing

    set_up_observing()
    app = st.App(
        __file__,
        routes=routes(),
        middleware=guards(),
        lifespan=opened,
        on_script_error=say_failed,
    )
