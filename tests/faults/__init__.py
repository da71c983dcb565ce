"""Tests with real processes, real connections and real trouble."""
