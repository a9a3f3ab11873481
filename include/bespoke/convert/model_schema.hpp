#pragma once

/// The messages of a model around and beside neural networks, in the notation of schema.hpp. Core ML specification,
/// Model.proto, FeatureTypes.proto and the files of the other model types.

#ifdef BESPOKE_IMPLEMENTATION

#include <string_view>

namespace bespoke::detail {

inline constexpr std::string_view model_schema = R"(
Model: int32 specificationVersion 1; ModelDescription description 2; bool isUpdatable 10; PipelineClassifier
    pipelineClassifier 200; PipelineRegressor pipelineRegressor 201; Pipeline pipeline 202; GLMRegressor glmRegressor
    300; SupportVectorRegressor supportVectorRegressor 301; TreeEnsembleRegressor treeEnsembleRegressor 302;
    NeuralNetworkRegressor neuralNetworkRegressor 303; any bayesianProbitRegressor 304 itemSimilarityRecommender 501
    mlProgram 502 classConfidenceThresholding 560 textClassifier 2000 wordTagger 2001 visionFeaturePrint 2002
    soundAnalysisPreprocessing 2003 gazetteer 2004 wordEmbedding 2005 audioFeaturePrint 2006 serializedModel 3000;
    GLMClassifier glmClassifier 400; SupportVectorClassifier supportVectorClassifier 401; TreeEnsembleClassifier
    treeEnsembleClassifier 402; NeuralNetworkClassifier neuralNetworkClassifier 403; KNearestNeighborsClassifier
    kNearestNeighborsClassifier 404; NeuralNetwork neuralNetwork 500; CustomModel customModel 555; LinkedModel
    linkedModel 556; OneHotEncoder oneHotEncoder 600; Imputer imputer 601; FeatureVectorizer featureVectorizer 602;
    DictVectorizer dictVectorizer 603; Scaler scaler 604; CategoricalMapping categoricalMapping 606; Normalizer
    normalizer 607; ArrayFeatureExtractor arrayFeatureExtractor 609; NonMaximumSuppression nonMaximumSuppression 610;
    Identity identity 900
ModelDescription: FunctionDescription* functions 20; string defaultFunctionName 21 predictedFeatureName 11
    predictedProbabilitiesName 12; Metadata metadata 100; FeatureDescription* input 1 output 10 state 13 trainingInput
    50
FunctionDescription: string name 1 predictedFeatureName 4 predictedProbabilitiesName 5; FeatureDescription* input 2
    output 3 state 6
FeatureDescription: string name 1 shortDescription 2; FeatureType type 3
FeatureType: Int64FeatureType int64Type 1; DoubleFeatureType doubleType 2; StringFeatureType stringType 3;
    ImageFeatureType imageType 4; ArrayFeatureType multiArrayType 5; DictionaryFeatureType dictionaryType 6;
    SequenceFeatureType sequenceType 7; StateFeatureType stateType 8; bool isOptional 1000
Int64FeatureType:
DoubleFeatureType:
StringFeatureType:
ImageFeatureType: int64 width 1 height 2; EnumeratedImageSizes enumeratedSizes 21; ImageSizeRange imageSizeRange 31;
    ColorSpace colorSpace 3
EnumeratedImageSizes: ImageSize* sizes 1
ImageSize: uint64 width 1 height 2
ImageSizeRange: SizeRange widthRange 1 heightRange 2
SizeRange: uint64 lowerBound 1; int64 upperBound 2
ArrayFeatureType: int64* shape 1; ArrayDataType dataType 2; EnumeratedShapes enumeratedShapes 21; ShapeRange
    shapeRange 31; int32 intDefaultValue 41; float floatDefaultValue 51; double doubleDefaultValue 61
EnumeratedShapes: Shape* shapes 1
Shape: int64* shape 1
ShapeRange: SizeRange* sizeRanges 1
DictionaryFeatureType: Int64FeatureType int64KeyType 1; StringFeatureType stringKeyType 2
SequenceFeatureType: Int64FeatureType int64Type 1; StringFeatureType stringType 3; SizeRange sizeRange 101
StateFeatureType: ArrayFeatureType arrayType 1
Metadata: string shortDescription 1 versionString 2 author 3 license 4; map<string,string> userDefined 100
PipelineClassifier: Pipeline pipeline 1
Pipeline: Model* models 1; string* names 2
PipelineRegressor: Pipeline pipeline 1
GLMRegressor: GLMRegressor.DoubleArray* weights 1; double* offset 2; GLMRegressor.PostEvaluationTransform
    postEvaluationTransform 3
GLMRegressor.DoubleArray: double* value 1
SupportVectorRegressor: Kernel kernel 1; SparseSupportVectors sparseSupportVectors 2; DenseSupportVectors
    denseSupportVectors 3; Coefficients coefficients 4; double rho 5
Kernel: LinearKernel linearKernel 1; RBFKernel rbfKernel 2; PolyKernel polyKernel 3; SigmoidKernel sigmoidKernel 4
LinearKernel:
RBFKernel: double gamma 1
PolyKernel: int32 degree 1; double c 2 gamma 3
SigmoidKernel: double gamma 1 c 2
SparseSupportVectors: SparseVector* vectors 1
SparseVector: SparseNode* nodes 1
SparseNode: int32 index 1; double value 2
DenseSupportVectors: DenseVector* vectors 1
DenseVector: double* values 1
Coefficients: double* alpha 1
TreeEnsembleRegressor: TreeEnsembleParameters treeEnsemble 1; TreeEnsemblePostEvaluationTransform
    postEvaluationTransform 2
TreeEnsembleParameters: TreeNode* nodes 1; uint64 numPredictionDimensions 2; double* basePredictionValue 3
TreeNode: uint64 treeId 1 nodeId 2 branchFeatureIndex 10 trueChildNodeId 12 falseChildNodeId 13; TreeNodeBehavior
    nodeBehavior 3; double branchFeatureValue 11 relativeHitRate 30; bool missingValueTracksTrueChild 14;
    EvaluationInfo* evaluationInfo 20
EvaluationInfo: uint64 evaluationIndex 1; double evaluationValue 2
GLMClassifier: GLMClassifier.DoubleArray* weights 1; double* offset 2; GLMClassifier.PostEvaluationTransform
    postEvaluationTransform 3; ClassEncoding classEncoding 4; StringVector stringClassLabels 100; Int64Vector
    int64ClassLabels 101
GLMClassifier.DoubleArray: double* value 1
SupportVectorClassifier: Kernel kernel 1; int32* numberOfSupportVectorsPerClass 2; SparseSupportVectors
    sparseSupportVectors 3; DenseSupportVectors denseSupportVectors 4; Coefficients* coefficients 5; double* rho 6
    probA 7 probB 8; StringVector stringClassLabels 100; Int64Vector int64ClassLabels 101
TreeEnsembleClassifier: TreeEnsembleParameters treeEnsemble 1; TreeEnsemblePostEvaluationTransform
    postEvaluationTransform 2; StringVector stringClassLabels 100; Int64Vector int64ClassLabels 101
KNearestNeighborsClassifier: NearestNeighborsIndex nearestNeighborsIndex 1; Int64Parameter numberOfNeighbors 3;
    StringVector stringClassLabels 100; Int64Vector int64ClassLabels 101; string defaultStringLabel 110; int64
    defaultInt64Label 111; UniformWeighting uniformWeighting 200; InverseDistanceWeighting inverseDistanceWeighting
    210
NearestNeighborsIndex: int32 numberOfDimensions 1; FloatVector* floatSamples 2; LinearIndex linearIndex 100;
    SingleKdTreeIndex singleKdTreeIndex 110; SquaredEuclideanDistance squaredEuclideanDistance 200
FloatVector: float* vector 1
LinearIndex:
SingleKdTreeIndex: int32 leafSize 1
SquaredEuclideanDistance:
UniformWeighting:
InverseDistanceWeighting:
CustomModel: string className 10 description 40; map<string,CustomModelParamValue> parameters 30
CustomModelParamValue: double doubleValue 10; string stringValue 20; int32 intValue 30; int64 longValue 40; bool
    boolValue 50; bytes bytesValue 60
LinkedModel: LinkedModelFile linkedModelFile 1
LinkedModelFile: StringParameter linkedModelFileName 1 linkedModelSearchPath 2
StringParameter: string defaultValue 1
OneHotEncoder: StringVector stringCategories 1; Int64Vector int64Categories 2; bool outputSparse 10; HandleUnknown
    handleUnknown 11
Imputer: double imputedDoubleValue 1 replaceDoubleValue 11; int64 imputedInt64Value 2 replaceInt64Value 12; string
    imputedStringValue 3 replaceStringValue 13; DoubleVector imputedDoubleArray 4; Int64Vector imputedInt64Array 5;
    StringToDoubleMap imputedStringDictionary 6; Int64ToDoubleMap imputedInt64Dictionary 7
DoubleVector: double* vector 1
StringToDoubleMap: map<string,double> map 1
Int64ToDoubleMap: map<int64,double> map 1
FeatureVectorizer: InputColumn* inputList 1
InputColumn: string inputColumn 1; uint64 inputDimensions 2
DictVectorizer: StringVector stringToIndex 1; Int64Vector int64ToIndex 2
Scaler: double* shiftValue 1 scaleValue 2
CategoricalMapping: StringToInt64Map stringToInt64Map 1; Int64ToStringMap int64ToStringMap 2; string strValue 101;
    int64 int64Value 102
StringToInt64Map: map<string,int64> map 1
Int64ToStringMap: map<int64,string> map 1
Normalizer: NormType normType 1
ArrayFeatureExtractor: uint64* extractIndex 1
NonMaximumSuppression: PickTop pickTop 1; StringVector stringClassLabels 100; Int64Vector int64ClassLabels 101; double
    iouThreshold 110 confidenceThreshold 111; string confidenceInputFeatureName 200 coordinatesInputFeatureName 201
    iouThresholdInputFeatureName 202 confidenceThresholdInputFeatureName 203 confidenceOutputFeatureName 210
    coordinatesOutputFeatureName 211
PickTop: bool perClass 1
Identity:
enum ArrayDataType: INVALID_ARRAY_DATA_TYPE 0 FLOAT32 65568 DOUBLE 65600 INT32 131104 INT8 131080 FLOAT16 65552
enum ClassEncoding: ReferenceClass OneVsRest
enum GLMClassifier.PostEvaluationTransform: Logit Probit
enum GLMRegressor.PostEvaluationTransform: NoTransform Logit Probit
enum ColorSpace: INVALID_COLOR_SPACE 0 GRAYSCALE 10 RGB 20 BGR 30 GRAYSCALE_FLOAT16 40
enum NormType: LMax L1 L2
enum HandleUnknown: ErrorOnUnknown IgnoreUnknown
enum TreeNodeBehavior: BranchOnValueLessThanEqual BranchOnValueLessThan BranchOnValueGreaterThanEqual
    BranchOnValueGreaterThan BranchOnValueEqual BranchOnValueNotEqual LeafNode
enum TreeEnsemblePostEvaluationTransform: NoTransform Classification_SoftMax Regression_Logistic
    Classification_SoftMaxWithZeroClassReference
)";

}  // namespace bespoke::detail

#endif
