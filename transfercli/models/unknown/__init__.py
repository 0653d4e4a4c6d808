"""Out-of-distribution score of an image: how unlike the training images it is, in the features that the head sees."""
