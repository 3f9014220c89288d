"""Engines that are servers of their own, behind our APIs."""
