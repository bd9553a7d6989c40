"""Report to text: one renderer per format; none prints or opens a file."""
