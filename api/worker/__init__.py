"""The worker: claims runs, lets a command do each one, and keeps the lease alive meanwhile."""
