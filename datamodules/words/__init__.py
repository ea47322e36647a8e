"""Text: rows of texts and labels, words and tokenizers, vocabularies, and tables of token ids."""
