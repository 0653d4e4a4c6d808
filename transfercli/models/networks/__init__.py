"""Networks that keras.applications lacks, built by functions of the same signature as its own."""
