"""The paper's tables from MLflow: `python -m locat.report RUN_FOLDER...`, which is what `launcher report` runs."""
