"""Search by gradient descent on the probabilities of options, through a supernet that mixes its networks."""
