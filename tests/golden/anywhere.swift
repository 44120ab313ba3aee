// Swift classes for the custom layers of a Core ML model, written by mlexplorer.
//
// This source is uncompiled: no Swift compiler has seen it. Complete the classes where they throw
// SkeletonError.unfinished, and check the rest.
//
// The model: not saved yet, neuralNetwork
//   input  x: multiArray 2 x 3 FLOAT32
//   output y: multiArray FLOAT32
//
// Not all shapes are known: the run ended where 'Half' has no Python class

import CoreML
import Foundation

/// For the layers 'first', 'other way', 'again'.
@objc(Columns)
final class Columns: NSObject, MLCustomLayer {
    private let factor: Double?  // 2, 0.5 in some of the layers
    private let only: String?  // "here" in some of the layers

    required init(parameters: [String: Any]) throws {
        factor = parameters["factor"] as? Double
        only = parameters["only"] as? String
        super.init()
    }

    func setWeightData(_ weights: [Data]) throws {
        // there are no weights
    }

    func outputShapes(forInputShapes inputShapes: [[NSNumber]]) throws -> [[NSNumber]] {
        // 'first': [2, 3] -> [3]
        // 'other way': shapes unknown
        // 'again': [3] -> [3]
        // outputs: b in the first of them
        return [[3]]  // as in the lines above; other inputs may need other shapes
    }

    func evaluate(inputs: [MLMultiArray], outputs: [MLMultiArray]) throws {
        // the axes are those of the network's layers; write into the outputs
        let x0 = try Elements(inputs[0])  // x in the first of them
        let y0 = try Elements(outputs[0])  // b in the first of them
        throw SkeletonError.unfinished("Columns")
    }

    // To run on the GPU as well, import Metal and add:
    // func encode(commandBuffer: MTLCommandBuffer, inputs: [MTLTexture], outputs: [MTLTexture]) throws
}

/// What the Python class computed in the layer 'first'.
extension Columns {
    enum TestVector {
        fileprivate static let inputs: [RecordedArray] = [
            RecordedArray(shape: [2, 3], values: [
                1.0, 1.0, 1.0, 1.0, 1.0, 1.0,
            ]),
        ]
        fileprivate static let outputs: [RecordedArray] = [
            RecordedArray(shape: [3], values: [
                2.0, 2.0, 2.0,
            ]),
        ]

        /// The largest difference between what the Swift class computes and what the Python class computed.
        static func largestDifference() throws -> Float {
            let parameters: [String: Any] = [
                "factor": NSNumber(value: 2),
                "only": "here",
            ]
            let layer = try Columns(parameters: parameters)
            try layer.setWeightData([])
            return try RecordedArray.largestDifference(layer, inputs, outputs)
        }
    }
}

/// 16-bit weights
/// For the layer 'last'.
@objc(Half)
final class Half: NSObject, MLCustomLayer {
    private var weight0: [Float] = []  // 5 numbers in 10 bytes of Float16
    private var weight1: Data = Data()  // empty

    required init(parameters: [String: Any]) throws {
        super.init()
    }

    func setWeightData(_ weights: [Data]) throws {
        guard weights.count == 2 else { throw SkeletonError.weights("\(weights.count) weights") }
        weight0 = try halfFloats(weights[0], count: 5)
        weight1 = weights[1]
    }

    func outputShapes(forInputShapes inputShapes: [[NSNumber]]) throws -> [[NSNumber]] {
        // 'last': [3] [3] -> unknown without a Python class
        // outputs: y, z
        return [inputShapes[0], inputShapes[0]]  // a guess
    }

    func evaluate(inputs: [MLMultiArray], outputs: [MLMultiArray]) throws {
        // the axes are those of the network's layers; write into the outputs
        let x0 = try Elements(inputs[0])  // c
        let x1 = try Elements(inputs[1])  // b
        let y0 = try Elements(outputs[0])  // y
        let y1 = try Elements(outputs[1])  // z
        throw SkeletonError.unfinished("Half")
    }

    // To run on the GPU as well, import Metal and add:
    // func encode(commandBuffer: MTLCommandBuffer, inputs: [MTLTexture], outputs: [MTLTexture]) throws
}

private enum SkeletonError: Error {
    case dataType, feature(String), parameter(String), unfinished(String), weights(String)
}

/// Weights that the file holds as 16-bit floats. Float16 needs iOS 14, or macOS 11 on Apple silicon.
private func halfFloats(_ data: Data, count: Int? = nil) throws -> [Float] {
    let size = MemoryLayout<Float16>.size
    guard data.count == (count ?? data.count / size) * size else { throw SkeletonError.weights("\(data.count) bytes") }
    var values = [Float16](repeating: 0, count: data.count / size)
    _ = values.withUnsafeMutableBytes { data.copyBytes(to: $0) }
    return values.map { Float($0) }
}

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
