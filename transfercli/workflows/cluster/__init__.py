"""Clusters: work that Ray shares out over the nodes of a cluster, or over the cores of this machine."""
