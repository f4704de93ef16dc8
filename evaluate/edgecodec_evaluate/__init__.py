"""What a bundle's pictures are worth: rates and scores of real files beside other formats', and pages to look at.

It uses the runtime alone, as any program would: whatever a bundle can decode can be judged, of whatever family.
"""
