"""Tempest Private Apps: versions of apps, and the operations on resources that they carry out."""
