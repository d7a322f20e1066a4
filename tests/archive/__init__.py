"""What the releases state, compared with the archives and the boxes built of them."""
