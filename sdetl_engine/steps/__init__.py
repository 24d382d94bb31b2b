"""What stages share: planning, cleaning, loading, comparing, looking at dashboards; each a step that several of them take."""
