"""Other queues doing the same work, in an environment and beside a database of their own."""
