"""What ``tools/bench`` measures, one module per subject, each as rows."""
