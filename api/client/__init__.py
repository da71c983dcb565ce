"""The client side of the HTTP API: requests with retries, and an event stream that resumes."""
