"""What hostile code, repositories, texts and requests try, one file for each kind."""
