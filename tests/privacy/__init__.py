"""Tests of personal data, found and taken out."""
