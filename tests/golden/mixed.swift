// Swift classes for the custom layers of a Core ML model, written by mlexplorer.
//
// This source is uncompiled: no Swift compiler has seen it. Complete the classes where they throw
// SkeletonError.unfinished, and check the rest.
//
// The model: not saved yet, neuralNetwork
//   input  x: multiArray 2 x 4 x 3 FLOAT32
//   output y: multiArray FLOAT32

import CoreML
import Foundation

/// gain * a + kernel * x + offsets
/// For the layer 'mix'.
@objc(Mix)
final class Mix: NSObject, MLCustomLayer {
    private let gain: Double  // 0.5
    private let long: Int64  // 3298534883328
    private let mode: String  // "sum \\(x) of \u{201c}a\u{201d}"
    private let on: Bool  // true
    private let size: Int  // 3
    private var weight0: [Float] = []  // [2, 1, 3]: 6 numbers in 24 bytes of Float
    private var weight1: [Float] = []  // 2 numbers in 8 bytes of Float

    required init(parameters: [String: Any]) throws {
        gain = try parameter("gain", of: parameters)
        long = try parameter("long", of: parameters)
        mode = try parameter("mode", of: parameters)
        on = try parameter("on", of: parameters)
        size = try parameter("size", of: parameters)
        super.init()
    }

    func setWeightData(_ weights: [Data]) throws {
        guard weights.count == 2 else { throw SkeletonError.weights("\(weights.count) weights") }
        weight0 = try floats(weights[0], count: 6)
        weight1 = try floats(weights[1], count: 2)
    }

    func outputShapes(forInputShapes inputShapes: [[NSNumber]]) throws -> [[NSNumber]] {
        // 'mix': [2, 4, 3] [2, 4, 3] -> [2, 4, 3]
        // outputs: y
        return [inputShapes[0]]  // as in the lines above; other inputs may need other shapes
    }

    func evaluate(inputs: [MLMultiArray], outputs: [MLMultiArray]) throws {
        // the axes are those of the network's layers; write into the outputs
        let x0 = try Elements(inputs[0])  // a
        let x1 = try Elements(inputs[1])  // x
        let y0 = try Elements(outputs[0])  // y
        throw SkeletonError.unfinished("Mix")
    }

    // To run on the GPU as well, import Metal and add:
    // func encode(commandBuffer: MTLCommandBuffer, inputs: [MTLTexture], outputs: [MTLTexture]) throws
}

/// What the Python class computed in the layer 'mix'.
extension Mix {
    enum TestVector {
        fileprivate static let inputs: [RecordedArray] = [
            RecordedArray(shape: [2, 4, 3], values: [
                -2.0, -1.826087, -1.6521739, -1.4782609, -1.3043479, -1.1304348, -0.95652175, -0.7826087,
                -0.6086956, -0.4347826, -0.26086956, -0.08695652, 0.08695652, 0.26086956, 0.4347826, 0.6086956,
                0.7826087, 0.95652175, 1.1304348, 1.3043479, 1.4782609, 1.6521739, 1.826087, 2.0,
            ]),
            RecordedArray(shape: [2, 4, 3], values: [
                -1.0, -0.9130435, -0.82608694, -0.73913044, -0.65217394, -0.5652174, -0.47826087, -0.39130434,
                -0.3043478, -0.2173913, -0.13043478, -0.04347826, 0.04347826, 0.13043478, 0.2173913, 0.3043478,
                0.39130434, 0.47826087, 0.5652174, 0.65217394, 0.73913044, 0.82608694, 0.9130435, 1.0,
            ]),
        ]
        fileprivate static let outputs: [RecordedArray] = [
            RecordedArray(shape: [2, 4, 3], values: [
                1e+20, 1e+20, 1e+20, 1e+20, 1e+20, 1e+20, 1e+20, 1e+20,
                1e+20, 1e+20, 1e+20, 1e+20, 1e+20, 1e+20, 1e+20, 1e+20,
                1e+20, 1e+20, 1e+20, 1e+20, 1e+20, 1e+20, 1e+20, 1e+20,
            ]),
        ]

        /// The largest difference between what the Swift class computes and what the Python class computed.
        static func largestDifference() throws -> Float {
            let parameters: [String: Any] = [
                "gain": NSNumber(value: 0.5),
                "long": NSNumber(value: 3298534883328),
                "mode": "sum \\(x) of \u{201c}a\u{201d}",
                "on": NSNumber(value: true),
                "size": NSNumber(value: 3),
            ]
            let weights: [[Float]] = [
                [
                    1.5, -2.0, 0.1, 3e-07, 4.0, 5.0,
                ],
                [
                    0.25, 1e+20,
                ],
            ]
            let layer = try Mix(parameters: parameters)
            try layer.setWeightData(weights.map { $0.withUnsafeBufferPointer { Data(buffer: $0) } })
            return try RecordedArray.largestDifference(layer, inputs, outputs)
        }
    }
}

private enum SkeletonError: Error {
    case dataType, feature(String), parameter(String), unfinished(String), weights(String)
}

/// A parameter that every layer of a class has.
private func parameter<Value>(_ name: String, of parameters: [String: Any]) throws -> Value {
    guard let value = parameters[name] as? Value else { throw SkeletonError.parameter(name) }
    return value
}

/// Weights that the file holds as 32-bit floats.
private func floats(_ data: Data, count: Int? = nil) throws -> [Float] {
    let size = MemoryLayout<Float>.size
    guard data.count == (count ?? data.count / size) * size else { throw SkeletonError.weights("\(data.count) bytes") }
    var values = [Float](repeating: 0, count: data.count / size)
    _ = values.withUnsafeMutableBytes { data.copyBytes(to: $0) }
    return values
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
