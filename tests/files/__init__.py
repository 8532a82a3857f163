"""Every file that the library reads, damaged and forged in every way that we could think of."""
