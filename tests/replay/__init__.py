"""The recorded log: stores, codec, committer, feed and lock."""
