"""Connections, requests and answers, between uvicorn and the handlers."""
