"""A run over HTTP: FastAPI and uvicorn, of the extra `serve`. Nothing outside of this room imports them."""
