"""From populations to cores: traffic, work, cutting, packing and placing."""
