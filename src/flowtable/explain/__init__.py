"""What the parts below know, put into words for operators."""
