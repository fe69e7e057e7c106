"""What every folder may know: tables, vocabularies, histories, candidates. No TensorFlow, nothing else of ours."""
