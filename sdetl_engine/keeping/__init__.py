"""What is kept for the way back: backups with their manifests, and what must not be taken away."""
