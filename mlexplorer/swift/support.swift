// What the classes call. Each part goes into the source where what stands behind its MARK does.

// MARK: SkeletonError
private enum SkeletonError: Error {
    case dataType, feature(String), parameter(String), unfinished(String), weights(String)
}

// MARK: try parameter(
/// A parameter that every layer of a class has.
private func parameter<Value>(_ name: String, of parameters: [String: Any]) throws -> Value {
    guard let value = parameters[name] as? Value else { throw SkeletonError.parameter(name) }
    return value
}

// MARK: try feature(
/// The value of an input that must not be absent.
private func feature(_ name: String, of input: MLFeatureProvider) throws -> MLFeatureValue {
    guard let value = input.featureValue(for: name) else { throw SkeletonError.feature(name) }
    return value
}

// MARK: try floats(
/// Weights that the file holds as 32-bit floats.
private func floats(_ data: Data, count: Int? = nil) throws -> [Float] {
    let size = MemoryLayout<Float>.size
    guard data.count == (count ?? data.count / size) * size else { throw SkeletonError.weights("\(data.count) bytes") }
    var values = [Float](repeating: 0, count: data.count / size)
    _ = values.withUnsafeMutableBytes { data.copyBytes(to: $0) }
    return values
}

// MARK: try halfFloats(
/// Weights that the file holds as 16-bit floats. Float16 needs iOS 14, or macOS 11 on Apple silicon.
private func halfFloats(_ data: Data, count: Int? = nil) throws -> [Float] {
    let size = MemoryLayout<Float16>.size
    guard data.count == (count ?? data.count / size) * size else { throw SkeletonError.weights("\(data.count) bytes") }
    var values = [Float16](repeating: 0, count: data.count / size)
    _ = values.withUnsafeMutableBytes { data.copyBytes(to: $0) }
    return values.map { Float($0) }
}

// MARK: try Elements(
/// The numbers of an array by their indices. Rows may lie further apart than they are long, which the strides tell;
/// inner loops are faster with `pointer` and `strides`.
private struct Elements {
    let shape: [Int]
    let strides: [Int]
    let pointer: UnsafeMutablePointer<Float>

    init(_ array: MLMultiArray) throws {
        guard array.dataType == .float32 else { throw SkeletonError.dataType }
        shape = array.shape.map { $0.intValue }
        strides = array.strides.map { $0.intValue }
        pointer = array.dataPointer.assumingMemoryBound(to: Float.self)
    }

    subscript(indices: Int...) -> Float {
        get { pointer[offset(indices)] }
        nonmutating set { pointer[offset(indices)] = newValue }
    }

    private func offset(_ indices: [Int]) -> Int {
        zip(indices, strides).reduce(0) { $0 + $1.0 * $1.1 }
    }
}

// MARK: RecordedArray(
/// Numbers in row-major order.
private struct RecordedArray {
    let shape: [Int]
    let values: [Float]

    func array() throws -> MLMultiArray {
        let array = try MLMultiArray(shape: shape.map { NSNumber(value: $0) }, dataType: .float32)
        for (index, value) in values.enumerated() { array[index] = NSNumber(value: value) }
        return array
    }

    static func largestDifference(
        _ layer: MLCustomLayer, _ inputs: [RecordedArray], _ outputs: [RecordedArray]
    ) throws -> Float {
        let given = try outputs.map { try $0.array() }
        for array in given {
            for index in 0..<array.count { array[index] = 0 }
        }
        try layer.evaluate(inputs: try inputs.map { try $0.array() }, outputs: given)
        var largest: Float = 0
        for (array, output) in zip(given, outputs) {
            for (index, value) in output.values.enumerated() {
                let difference = abs(array[index].floatValue - value)
                guard difference.isFinite else { return .infinity }
                largest = max(largest, difference)
            }
        }
        return largest
    }
}
