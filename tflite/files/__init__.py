"""What is written: TFLite, SavedModel and ONNX files, and what a .tflite file says of itself."""
