"""HTTP on this machine: listening, guards of requests, errors as answers. It knows nothing of models or runs."""
