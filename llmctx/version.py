"""The version, which every record carries: a prompt is rendered again byte for byte under the same version."""

VERSION = "0.1.0"
