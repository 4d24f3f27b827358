"""What several tests stand on: machines to run on, data to run with, and what results are held against."""
