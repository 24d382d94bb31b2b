"""The wizard on a real terminal."""
