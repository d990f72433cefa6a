"""The rows of the catalogue, one file a publisher.

URLs and hashes are those of the publishers' own loaders; accuracies are the publishers' own, on the 50,000 validation
images of ImageNet.
"""
