"""A FastAPI server as the gateway's tests need it: the backend's routes and faults, everything in memory.

Not a model server and not secure: admin pages are open and errors are the backend's own. Start at `app.py`;
`python -m origin --port 0` runs it. What lies under `/_test/` exists for tests alone.
"""
