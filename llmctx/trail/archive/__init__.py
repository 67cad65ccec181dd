"""The archive: old records as Parquet files in a folder or an object store, each with a manifest that proves it."""
