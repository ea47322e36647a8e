"""Text: rows of texts and labels, tokenizers, vocabularies, and tables of token ids."""
